// What the tests of the Model Context Protocol share: the server, without a toolchain.

import { withServer as withServerOf } from '../support/server.mjs';

export const withServer = (binary, use) =>
    withServerOf(binary, { toolchain: { emcc: '/nonexistent/emcc' }, mcp: { progressMs: 100 } }, use);
