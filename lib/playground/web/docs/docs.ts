// Shows /openapi.json. The element draws itself; it needs to be told which colours the system wants, and gets the
// examples of bodies in the form from which it fills in what "try it" sends. It asks for the last form of an answer and
// shows a stream as it comes, so that it gets JSON alone where there is both. On a narrow screen it leaves out its list
// of operations, so they all are on one page there. It draws some things that have no name or that keys do not reach;
// here they get both.
import 'rapidoc';

type Media = { example?: unknown; examples?: Record<string, { value: unknown }> };
type Content = Record<string, Media>;
type Operation = { requestBody?: { content?: Content }; responses?: Record<string, { content?: Content }> };
type Description = { paths: Record<string, Record<string, Operation>> };

const element = document.querySelector<HTMLElement & { loadSpec(description: Description): void }>('rapi-doc');
const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => {
    element?.setAttribute('theme', dark.matches ? 'dark' : 'light');
    element?.setAttribute('primary-color', dark.matches ? '#7cb8ff' : '#0a5ea8');
};
dark.addEventListener('change', follow);
follow();
if (matchMedia('(max-width: 768px)').matches) element?.setAttribute('render-style', 'read');

const names: [elements: string, name: (one: HTMLElement) => string][] = [
    ['nav.nav-bar', () => 'Contents'],
    ['nav.nav-scroll', () => 'Operations'],
    ['input[data-pname], textarea[data-pname]', (one) => one.dataset.pname!],
    ['textarea.request-body-param-user-input, textarea.request-body-param', () => 'Body of the request'],
    ['select', (one) => (one.textContent?.includes('/') ? 'Media type' : 'Example')],
];
const watched = new WeakSet<ShadowRoot>();
// The viewer's parts have roots of their own.
function watch(root: ShadowRoot) {
    const name = () => {
        for (const [elements, text] of names)
            for (const one of root.querySelectorAll<HTMLElement>(elements)) one.ariaLabel ??= text(one);
        // Keys scroll what has the focus.
        for (const one of root.querySelectorAll<HTMLElement>('main')) one.tabIndex = 0;
        for (const one of root.querySelectorAll('*'))
            if (one.shadowRoot && !watched.has(one.shadowRoot)) watch(one.shadowRoot);
    };
    watched.add(root);
    new MutationObserver(name).observe(root, { childList: true, subtree: true });
    name();
}
if (element?.shadowRoot) watch(element.shadowRoot);

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
