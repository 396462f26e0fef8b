// What the tests of the API's description share: the description.

export async function descriptionOf(origin) {
    const answer = await fetch(`${origin}/openapi.json`);
    if (answer.status !== 200) throw new Error(`GET /openapi.json: ${answer.status}`);
    return answer.text();
}
