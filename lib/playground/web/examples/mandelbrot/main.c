#include <emscripten.h>
#include <stdint.h>
#include <stdio.h>

enum { width = 640, height = 480, limit = 400 };
static uint32_t pixels[width * height];

// Puts the pixels on the canvas. The memory may have grown, so the view is made anew.
EM_JS(void, show, (const uint32_t *pixels, int width, int height), {
  const bytes = new Uint8ClampedArray(HEAPU8.buffer, pixels, 4 * width * height);
  const canvas = Module.canvas;
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(bytes.slice(), width, height), 0, 0);
});

static uint32_t colour(int steps) {
  if (steps == limit) return 0xff000000;
  const uint32_t t = (uint32_t)steps * 7;
  const uint32_t red = t % 256, green = (t * 2) % 256, blue = 128 + t % 128;
  return 0xff000000 | blue << 16 | green << 8 | red;
}

int main(void) {
  const double began = emscripten_get_now();
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const double cr = -2.2 + 3.2 * x / width, ci = -1.2 + 2.4 * y / height;
      double r = 0, i = 0;
      int steps = 0;
      while (steps < limit && r * r + i * i < 4) {
        const double next = r * r - i * i + cr;
        i = 2 * r * i + ci;
        r = next;
        ++steps;
      }
      pixels[y * width + x] = colour(steps);
    }
  printf("%d points in %.0f ms\n", width * height, emscripten_get_now() - began);
  show(pixels, width, height);
  return 0;
}
