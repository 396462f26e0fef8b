async function double(value) {
    await null;
    console.log('doubling', value);
    return 2 * value;
}
Promise.all([1, 2, 3].map(double));
