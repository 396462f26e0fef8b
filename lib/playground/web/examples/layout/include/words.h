#pragma once
#include <stddef.h>

// Counts the lines of a file that contain `letter`; -1 if it cannot be opened.
int count_with(const char *file, char letter);
