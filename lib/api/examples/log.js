console.log('Hello!');
console.info('numbers', 1, 2.5, [3, 4]);
console.warn({ a: 'warning', with: { some: 'depth' } });
console.error(new Error('shown, not thrown').message);
1 + 2;
