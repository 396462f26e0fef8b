#include "words.h"

#include <stdio.h>
#include <string.h>

int count_with(const char *file, char letter) {
  FILE *in = fopen(file, "r");
  if (!in) return -1;
  int count = 0;
  for (char line[128]; fgets(line, sizeof line, in);)
    if (strchr(line, letter)) ++count;
  fclose(in);
  return count;
}
