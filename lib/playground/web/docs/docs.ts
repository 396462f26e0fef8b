// Shows /openapi.json. The element draws itself; it needs to be told which colours the system wants, and gets the
// examples of bodies in the form from which it fills in what "try it" sends.
import 'rapidoc';

type Media = { example?: unknown; examples?: Record<string, { value: unknown }> };
type Operation = { requestBody?: { content?: Record<string, Media> } };
type Description = { paths: Record<string, Record<string, Operation>> };

const element = document.querySelector<HTMLElement & { loadSpec(description: Description): void }>('rapi-doc');
const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => element?.setAttribute('theme', dark.matches ? 'dark' : 'light');
dark.addEventListener('change', follow);
follow();

const description = (await (await fetch('/openapi.json')).json()) as Description;
for (const item of Object.values(description.paths))
    for (const operation of Object.values(item))
        for (const media of Object.values(operation.requestBody?.content ?? {})) {
            if (media.example === undefined) continue;
            media.examples = { example: { value: media.example } };
            delete media.example;
        }
element?.loadSpec(description);
