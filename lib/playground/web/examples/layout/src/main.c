#include <stdio.h>

#include "words.h"

int main(int argc, char **argv) {
  const char letter = argc > 1 ? argv[1][0] : 'e';
  printf("words " VERSION ": %d words have the letter %c\n", count_with("data/words.txt", letter), letter);
  return 0;
}
