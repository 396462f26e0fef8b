// Runs when the module is there: Module is it. console prints into the terminal.
const account = new Module.Account("Ada");
account.deposit(100);
account.deposit(-30.5);
const history = account.history();
const amounts = Array.from({ length: history.size() }, (_, i) => history.get(i));
console.log(`${account.owner} has ${account.balance}: ${amounts.join(", ")}`);
history.delete();
account.delete();
