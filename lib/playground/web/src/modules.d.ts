// What build.mjs makes.

declare module 'examples:' {
    interface Example {
        id: string;
        title: string;
        workspace: { target: string; files: { path: string; content: string }[]; [key: string]: unknown };
    }
    const examples: Example[];
    export default examples;
}

declare module 'worker:*' {
    const text: string;
    export default text;
}
