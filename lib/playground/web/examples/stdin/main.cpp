#include <iostream>
#include <sstream>
#include <string>

// Type into the terminal. Ctrl-D at the start of a line is the end.
int main() {
  std::cout << "What is your name? ";
  std::string name;
  std::getline(std::cin, name);
  std::cout << "Hello, " << name << "! Numbers to add:\n";

  double sum = 0;
  for (std::string line; std::cout << "> ", std::getline(std::cin, line) && !line.empty();) {
    std::istringstream numbers{line};
    for (double n; numbers >> n;) sum += n;
    std::cout << "sum: " << sum << '\n';
  }
  std::cout << "Goodbye.\n";
}
