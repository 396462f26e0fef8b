#include <emscripten/bind.h>
#include <string>
#include <vector>

class Account {
 public:
  explicit Account(std::string owner) : owner_{std::move(owner)} {}
  void deposit(double amount) {
    balance_ += amount;
    history_.push_back(amount);
  }
  double balance() const { return balance_; }
  std::string owner() const { return owner_; }
  std::vector<double> history() const { return history_; }

 private:
  std::string owner_;
  double balance_ = 0;
  std::vector<double> history_;
};

EMSCRIPTEN_BINDINGS(bank) {
  emscripten::register_vector<double>("Amounts");
  emscripten::class_<Account>("Account")
      .constructor<std::string>()
      .function("deposit", &Account::deposit)
      .function("history", &Account::history)
      .property("balance", &Account::balance)
      .property("owner", &Account::owner);
}
