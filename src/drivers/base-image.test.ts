import { expect, test } from "bun:test";
import { baseImage, gatewayImage } from "./base-image.ts";

const told = (registry: string): Record<string, string> => ({ NPM_CONFIG_REGISTRY: registry });

test("a password in the registry's address is no part of what the builder is told", async () => {
  const plain = told("https://npm.example.test/mirror/");
  const secret = told("https://ann:s3cret@npm.example.test/mirror/");
  expect(await baseImage(secret, "1000:1000", {})).toEqual(await baseImage(plain, "1000:1000", {}));
  expect(await gatewayImage(secret)).toEqual(await gatewayImage(plain));
  expect((await gatewayImage(secret)).args["NPM_CONFIG_REGISTRY"]).toBe("https://npm.example.test/mirror/");
});
