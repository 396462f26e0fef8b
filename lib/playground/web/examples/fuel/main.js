// Every run has a budget of instructions. This one needs more.
let steps = 0;
console.log("counting…");
while (true) ++steps;
