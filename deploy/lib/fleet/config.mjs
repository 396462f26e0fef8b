// Prints the configuration of the pods of deploy/fleet: pod.json, with the places of this fleet, and the members of
// another file over it.
import {readFileSync} from 'node:fs';

const [, , base, cache, redis, key, more] = process.argv;

function read(file) {
  const value = JSON.parse(readFileSync(file, 'utf8'));
  if (!isSection(value)) throw new Error('it is no object');
  return value;
}

function isSection(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function put(into, members) {
  for (const [name, value] of Object.entries(members)) {
    if (isSection(value) && isSection(into[name])) put(into[name], value);
    else into[name] = value;
  }
}

const config = read(base);
// Each pod gets its own from the command line.
delete config.addr;
delete config.workingDir;
put(config, {store: {remote: cache, signingKeyFile: key}, cluster: {redis}});
try {
  if (more) put(config, read(more));
} catch (error) {
  console.error(`${more}: ${error.message}`);
  process.exit(1);
}
console.log(JSON.stringify(config, null, 2));
