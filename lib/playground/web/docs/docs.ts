// Shows /openapi.json. The element draws itself; it needs to be told which colours the system wants, and gets the
// examples of bodies in the form from which it fills in what "try it" sends. It asks for the last form of an answer and
// shows a stream as it comes, so that it gets JSON alone where there is both. On a narrow screen it leaves out its list
// of operations, so they all are on one page there.
import 'rapidoc';

type Media = { example?: unknown; examples?: Record<string, { value: unknown }> };
type Content = Record<string, Media>;
type Operation = { requestBody?: { content?: Content }; responses?: Record<string, { content?: Content }> };
type Description = { paths: Record<string, Record<string, Operation>> };

const element = document.querySelector<HTMLElement & { loadSpec(description: Description): void }>('rapi-doc');
const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => element?.setAttribute('theme', dark.matches ? 'dark' : 'light');
dark.addEventListener('change', follow);
follow();
if (matchMedia('(max-width: 768px)').matches) element?.setAttribute('render-style', 'read');

const description = (await (await fetch('/openapi.json')).json()) as Description;
for (const item of Object.values(description.paths))
    for (const operation of Object.values(item)) {
        for (const { content } of Object.values(operation.responses ?? {}))
            if (content?.['application/json'])
                for (const form of ['text/event-stream', 'application/x-ndjson']) delete content[form];
        for (const media of Object.values(operation.requestBody?.content ?? {})) {
            if (media.example === undefined) continue;
            media.examples = { example: { value: media.example } };
            delete media.example;
        }
    }
element?.loadSpec(description);
