// A fresh isolate for each request, as sandboxd has a fresh sandbox for each.
export default {
    async fetch(request, env) {
        const { script } = await request.json();
        const worker = env.loader.load({
            compatibilityDate: "2026-01-01",
            mainModule: "main.js",
            modules: { "main.js": `export default { fetch() { return Response.json({ result: (${script}) }); } };` },
            globalOutbound: null,
        });
        return worker.getEntrypoint().fetch("http://worker/");
    },
};
