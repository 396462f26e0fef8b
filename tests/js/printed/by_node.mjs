// What Node.js prints for each script of the files that are named: a JSON array of the lines' texts, a file after the
// other. printed_test.cpp compares that with what the interpreter prints.
import { Console } from 'node:console';
import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';

const AsyncFunction = (async () => {}).constructor;
process.on('unhandledRejection', () => {});

const printed = [];
for (const file of process.argv.slice(2)) {
    for (const line of readFileSync(file, 'utf8').split('\n')) {
        if (line === '' || line.startsWith('//')) continue;
        const parts = [];
        const stream = new Writable({
            write(chunk, encoding, done) {
                parts.push(chunk);
                done();
            },
        });
        const own = new Console({ stdout: stream, stderr: stream });
        try {
            await new AsyncFunction('console', line)(own);
        } catch (error) {
            own.log('Uncaught ' + error.name);
        }
        printed.push(Buffer.concat(parts).toString());
    }
}
process.stdout.write(JSON.stringify(printed));
