// Builds dist/ from t.js: minified, and compressed once for all.
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { minify } from "terser";

const ROUNDS = 2400;
const gzip = (code) => gzipSync(code, { level: 9 });

/** The code with these letters as the names of its variables. */
const named = async (code, letters) => {
  const nth_identifier = { get: (nth) => letters[nth], reset() {}, sort() {}, consider() {} };
  const minified = await minify(code, { ecma: 2021, compress: false, mangle: { toplevel: true, nth_identifier } });
  return minified.code.replace(/;$/, "");
};

/**
 * Which variable is called what makes no difference but to the compression. So letters are swapped while that makes
 * the file smaller: always in the same order, so that every build is the same.
 */
const smallest = async (code) => {
  let letters = [..."etanirosldcpugmhfvbywkxSEITAOCLDNPRMU_$"];
  let best = await named(code, letters);
  let state = 1;
  const random = (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    const swapped = [...letters];
    const [one, other] = [random(30), random(letters.length)];
    [swapped[one], swapped[other]] = [swapped[other], swapped[one]];
    const candidate = await named(code, swapped);
    if (gzip(candidate).length <= gzip(best).length) [letters, best] = [swapped, candidate];
  }
  return best;
};

const source = await readFile("t.js");
const { code } = await minify(source.toString(), {
  ecma: 2021,
  toplevel: true,
  compress: { passes: 4, unsafe: true, unsafe_arrows: true, unsafe_methods: true, keep_fargs: false },
  mangle: false,
});
const built = await smallest(code);
const brotli = brotliCompressSync(built, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
await mkdir("dist", { recursive: true });
await writeFile("dist/t.js", built);
await writeFile("dist/t.js.gz", gzip(built));
await writeFile("dist/t.js.br", brotli);
// Which source this was built from: a test without Node compares it.
await writeFile("dist/t.js.source.sha256", `${createHash("sha256").update(source).digest("hex")}\n`);
console.log(`${built.length} bytes, gzip ${gzip(built).length}, brotli ${brotli.length}`);
