const users = [{ id: 1, name: "Ada Lovelace", email: "ada@example.com" }];

function send(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function listUsers(_request, response) {
  send(response, 200, users);
}

function showUser(_request, response, { id }) {
  const user = users.find((one) => String(one.id) === id);
  if (user === undefined) send(response, 404, { error: "There is no such user" });
  else send(response, 200, user);
}

async function addUser(request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { name, email } = JSON.parse(body);
  const user = { id: users.length + 1, name, email };
  users.push(user);
  send(response, 201, user);
}

export const routes = {
  "GET /api/users": listUsers,
  "GET /api/users/:id": showUser,
  "POST /api/users": addUser,
};
