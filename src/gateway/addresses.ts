import { isIPv4, isIPv6 } from "node:net";

/**
 * What kind of address a name led to. `never`: this machine itself, its neighbours on the link, the cloud's metadata service,
 * many hosts at once, or an address of no known use; no configuration opens these.
 */
export type AddressKind = "public" | "private" | "never";

const neverV4 = ranges4(
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "192.0.0.0/24",
  "192.88.99.0/24",
  "224.0.0.0/3",
  // Metadata and control services of Alibaba Cloud and Azure, in ranges that otherwise mean something else.
  "100.100.100.200/32",
  "168.63.129.16/32",
);

/**
 * RFC 1918, and what networks use like it: carriers and VPNs (100.64/10), and what is meant for tests and
 * documents, where proxies make addresses up.
 */
const privateV4 = ranges4(
  "10.0.0.0/8",
  "100.64.0.0/10",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "192.0.2.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
);

/** Tells which kind a numeric address is. What cannot be read is `never`. */
export function addressKind(address: string): AddressKind {
  if (isIPv4(address)) return kind4(number4(address));
  const groups = isIPv6(address) ? groups6(address) : undefined;
  if (groups === undefined) return "never";
  const [first = 0, second = 0] = groups;
  // IPv4 in the clothes of IPv6 is judged as IPv4.
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return kind4((groups[6] ?? 0) * 0x1_0000 + (groups[7] ?? 0));
  // Amazon's metadata service, in the middle of the private range.
  if (first === 0xfd00 && second === 0x0ec2) return "never";
  if ((first & 0xfe00) === 0xfc00) return "private";
  // All that is in use lies in 2000::/3. The parts of it that hold an IPv4 address (6to4, Teredo) or nothing do not count.
  const isGlobal = (first & 0xe000) === 0x2000;
  const isSpecial = first === 0x2002 || (first === 0x2001 && (second < 0x200 || second === 0xdb8));
  return isGlobal && !isSpecial && first < 0x3ff0 ? "public" : "never";
}

/** Whether two spellings are one address. */
export function sameAddress(one: string, other: string): boolean {
  return canonical(one) === canonical(other);
}

function canonical(address: string): string {
  if (isIPv4(address)) return address;
  const groups = groups6(address.replace(/%.*$/, ""));
  if (groups === undefined) return address;
  const low = (groups[6] ?? 0) * 0x1_0000 + (groups[7] ?? 0);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return [24, 16, 8, 0].map((shift) => (low >>> shift) & 0xff).join(".");
  return groups.map((group) => group.toString(16)).join(":");
}

interface Range4 {
  start: number;
  size: number;
}

function ranges4(...texts: string[]): Range4[] {
  return texts.map((text) => {
    const [address = "", bits = "32"] = text.split("/");
    return { start: number4(address), size: 2 ** (32 - Number(bits)) };
  });
}

function kind4(address: number): AddressKind {
  const isIn = ({ start, size }: Range4): boolean => address >= start && address < start + size;
  if (neverV4.some(isIn)) return "never";
  return privateV4.some(isIn) ? "private" : "public";
}

function number4(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** The eight numbers of an IPv6 address; undefined with a zone, which only link-local addresses have. */
function groups6(address: string): number[] | undefined {
  if (!isIPv6(address) || address.includes("%")) return undefined;
  const text = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((part) => part.toString(16)).join(":"),
  );
  const [head = "", tail] = text.split("::");
  const before = numbers(head);
  const after = numbers(tail ?? "");
  const gap = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array.from({ length: gap }, () => 0), ...after];
}

function numbers(side: string): number[] {
  return side === "" ? [] : side.split(":").map((part) => Number.parseInt(part, 16));
}
