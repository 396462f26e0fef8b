#include <emscripten.h>
#include <math.h>
#include <stdio.h>
#include <wasm_simd128.h>

enum { n = 1 << 20, rounds = 60 };
static float a[n], b[n];

// The compiler makes vectors of loops by itself: not of this one, to have something to compare with.
static float scalar(void) {
  float sum = 0;
#pragma clang loop vectorize(disable) interleave(disable)
  for (int i = 0; i < n; ++i) sum += sqrtf(a[i] * a[i] + b[i] * b[i]);
  return sum;
}

static float simd(void) {
  v128_t sum = wasm_f32x4_splat(0);
  for (int i = 0; i < n; i += 4) {
    const v128_t x = wasm_v128_load(a + i), y = wasm_v128_load(b + i);
    sum = wasm_f32x4_add(sum, wasm_f32x4_sqrt(wasm_f32x4_add(wasm_f32x4_mul(x, x), wasm_f32x4_mul(y, y))));
  }
  return wasm_f32x4_extract_lane(sum, 0) + wasm_f32x4_extract_lane(sum, 1) + wasm_f32x4_extract_lane(sum, 2) +
         wasm_f32x4_extract_lane(sum, 3);
}

static double time_of(const char *name, float (*f)(void)) {
  volatile float result = 0;
  const double began = emscripten_get_now();
  for (int i = 0; i < rounds; ++i) result = f();
  const double each = (emscripten_get_now() - began) / rounds;
  printf("%-8s %7.3f ms a round, sum %.0f\n", name, each, result);
  return each;
}

int main(void) {
  for (int i = 0; i < n; ++i) {
    a[i] = (float)(i % 1000) / 1000;
    b[i] = 1 - a[i];
  }
  const double slow = time_of("scalar", scalar), fast = time_of("SIMD", simd);
  printf("SIMD is %.1f times as fast\n", slow / fast);
  return 0;
}
