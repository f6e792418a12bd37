const products = [
  { id: 1, name: "Teapot", price: 24 },
  { id: 2, name: "Cup", price: 6 },
];

function listProducts(_request, response) {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(products));
}

export const routes = { "GET /api/products": listProducts };
