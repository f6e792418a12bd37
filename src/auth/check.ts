import { messageOf } from "../errors.ts";

/** What a provider says of a credential; `unknown` where it says nothing of it. */
export type Verdict = { is: "accepted" } | { is: "refused"; status: number } | { is: "unknown"; why: string };

const answerMs = 5000;

/**
 * Asks a provider for something small with a credential. Only a clear refusal counts as one: a key may be good
 * and just not allow this. `proxy` takes the place of what the environment says.
 */
export async function checkCredential(
  url: string,
  headers: Record<string, string>,
  { signal, proxy }: { signal: AbortSignal; proxy?: string },
): Promise<Verdict> {
  try {
    const response = await fetch(url, {
      headers: { accept: "application/json", ...headers },
      // Elsewhere nobody has the credential yet.
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
      ...(proxy === undefined ? {} : { proxy }),
    });
    const { status } = response;
    const text = await response.text();
    if (status === 401 && !/not supported/i.test(text)) return { is: "refused", status };
    // Google's way to say so.
    if (status === 400 && text.includes("API_KEY_INVALID")) return { is: "refused", status };
    if (!response.ok) return { is: "unknown", why: `the answer was ${status}` };
    // A network that wants a login first answers everything with a page of its own.
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    return isJson ? { is: "accepted" } : { is: "unknown", why: "the answer was no JSON" };
  } catch (error) {
    signal.throwIfAborted();
    const isLate = error instanceof Error && error.name === "TimeoutError";
    return { is: "unknown", why: isLate ? `no answer within ${answerMs / 1000} s` : messageOf(error) };
  }
}
