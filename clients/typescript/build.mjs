/**
 * Builds dist/ for npm, and the one file that gateways serve. Prints the sizes of what a page loads, minified and
 * gzipped. `--package` leaves the gateway's file as it is. `--check` builds nothing, and fails where sizes are over their
 * limits, or where the file in the gateway is not this one.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const SERVED = "../../src/pylinkd/gateway/assets/client.js";
/** Bytes, gzipped. What a connection that comes back takes, and everything that is not in a file of its own. */
const LIMITS = { core: 6_100, browser: 8_192 };

const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const shared = { bundle: true, format: "esm", target: "es2022", logLevel: "warning" };

const minified = async (entry) => {
  const options = { ...shared, entryPoints: [`src/${entry}.ts`], minify: true, write: false };
  return Buffer.from((await build(options)).outputFiles[0].contents);
};

const sizes = {};
for (const entry of Object.keys(LIMITS)) sizes[entry] = gzipSync(await minified(entry), { level: 9 }).length;
for (const [entry, size] of Object.entries(sizes)) console.log(`${entry}: ${size} bytes of ${LIMITS[entry]}`);

const banner = `/*! linkd-client ${version}, MIT. Generated from clients/typescript by scripts/client. */\n`;
const served = banner + (await minified("browser")).toString();
if (process.argv.includes("--check")) {
  const faults = Object.keys(LIMITS).filter((entry) => sizes[entry] > LIMITS[entry]).map((entry) => `${entry} is too large`);
  if (readFileSync(SERVED, "utf8") !== served) faults.push("the gateway's file is not this one: run scripts/client");
  if (faults.length) {
    console.error(faults.join("\n"));
    process.exit(1);
  }
} else {
  rmSync("dist", { recursive: true, force: true });
  const entryPoints = ["index", "core", "msgpack", "streams"].map((entry) => `src/${entry}.ts`);
  await build({ ...shared, entryPoints, outdir: "dist", splitting: true, sourcemap: true });
  copyFileSync("node_modules/@msgpack/msgpack/LICENSE", "dist/msgpack.LICENSE.txt"); // it is in dist/msgpack.js
  execFileSync("node_modules/.bin/tsc", ["--noEmit", "false", "--emitDeclarationOnly", "--declaration", "--outDir", "dist", "--rootDir", "src", "-p", "tsconfig.build.json"], { stdio: "inherit" });
  if (!process.argv.includes("--package")) writeFileSync(SERVED, served);
}
