console.log('this is kept');
throw new TypeError('and this is the error');
