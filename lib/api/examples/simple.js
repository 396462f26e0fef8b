const names = ['Ada', 'Grace', 'Margaret'];
names.map((name) => `Hello, ${name}!`).join(' ');
