const api = process.env.PAYMENT_API ?? "https://payments.example.com/v1";

/** Charges a customer. */
export async function chargeCustomer(customer, amount) {
  const response = await fetch(`${api}/charges`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ customer, amount }),
  });
  return await response.json();
}

/** Gives the money of a charge back. */
export async function refund(chargeId) {
  const response = await fetch(`${api}/refunds`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ chargeId }),
  });
  return await response.json();
}
