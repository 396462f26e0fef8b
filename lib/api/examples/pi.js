// Pi by Machin's formula, in whole numbers: 16 atan(1/5) - 4 atan(1/239).
function arctan(inverse, unit) {
    let power = unit / inverse;
    let sum = power;
    for (let n = 3n, sign = -1n; power !== 0n; n += 2n, sign = -sign) {
        power /= inverse * inverse;
        sum += (sign * power) / n;
    }
    return sum;
}
const digits = 100n;
const unit = 10n ** (digits + 10n);
const pi = (16n * arctan(5n, unit) - 4n * arctan(239n, unit)) / 10n ** 10n;
String(pi).replace('3', '3.');
