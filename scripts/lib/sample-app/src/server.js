import { readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const routesFolder = new URL("./routes/", import.meta.url);

/** Collects the `routes` of every file in src/routes: `{ "GET /api/products": handler }`. */
async function loadRoutes() {
  const routes = [];
  for (const name of await readdir(routesFolder)) {
    const module = await import(new URL(name, routesFolder).href);
    for (const [pattern, handler] of Object.entries(module.routes)) {
      const [method, path] = pattern.split(" ");
      routes.push({ method, parts: path.split("/"), handler });
    }
  }
  return routes;
}

/** The values of `:name` parts where the path fits the route, otherwise nothing. */
function match(route, method, path) {
  const parts = path.split("/");
  if (route.method !== method || route.parts.length !== parts.length) return undefined;
  const values = {};
  for (const [index, part] of route.parts.entries()) {
    if (part.startsWith(":")) values[part.slice(1)] = parts[index];
    else if (part !== parts[index]) return undefined;
  }
  return values;
}

/** A server that answers with the handlers of src/routes; it does not listen yet. */
export async function makeServer() {
  const routes = await loadRoutes();
  return createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    for (const route of routes) {
      const values = match(route, request.method, pathname);
      if (values !== undefined) return await route.handler(request, response, values);
    }
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: "There is no such page" }));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.env.PORT ?? 3000);
  const server = await makeServer();
  server.listen(port, () => process.stdout.write(`my-app listens on port ${port}\n`));
}
