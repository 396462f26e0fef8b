#include <GLES2/gl2.h>
#include <emscripten.h>
#include <emscripten/html5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { count = 20000 };
static struct { float x, y, vx, vy; } particles[count];

static GLuint shader(GLenum kind, const char *text) {
  const GLuint made = glCreateShader(kind);
  glShaderSource(made, 1, &text, NULL);
  glCompileShader(made);
  return made;
}

static float noise(void) { return (float)rand() / (float)RAND_MAX * 2 - 1; }

static void frame(void) {
  const float t = (float)emscripten_get_now() / 1000;
  const float cx = 0.5f * cosf(t * 0.7f), cy = 0.5f * sinf(t * 1.1f);
  for (int i = 0; i < count; ++i) {
    const float dx = cx - particles[i].x, dy = cy - particles[i].y, d = dx * dx + dy * dy + 0.02f;
    particles[i].vx = particles[i].vx * 0.995f + dx / d * 0.0002f;
    particles[i].vy = particles[i].vy * 0.995f + dy / d * 0.0002f;
    particles[i].x += particles[i].vx;
    particles[i].y += particles[i].vy;
  }
  glClearColor(0.02f, 0.02f, 0.06f, 1);
  glClear(GL_COLOR_BUFFER_BIT);
  glBufferData(GL_ARRAY_BUFFER, sizeof particles, particles, GL_STREAM_DRAW);
  glDrawArrays(GL_POINTS, 0, count);
}

int main(void) {
  EmscriptenWebGLContextAttributes how;
  emscripten_webgl_init_context_attributes(&how);
  how.preserveDrawingBuffer = 1;
  const EMSCRIPTEN_WEBGL_CONTEXT_HANDLE context = emscripten_webgl_create_context("#canvas", &how);
  if (context <= 0) {
    fprintf(stderr, "This browser has no WebGL here.\n");
    return 1;
  }
  emscripten_webgl_make_context_current(context);

  const GLuint program = glCreateProgram();
  glAttachShader(program, shader(GL_VERTEX_SHADER,
    "attribute vec4 p; varying float speed;"
    "void main() { gl_Position = vec4(p.xy, 0, 1); gl_PointSize = 1.5; speed = length(p.zw) * 60.0; }"));
  glAttachShader(program, shader(GL_FRAGMENT_SHADER,
    "precision mediump float; varying float speed;"
    "void main() { gl_FragColor = vec4(mix(vec3(0.2, 0.5, 1.0), vec3(1.0, 0.7, 0.2), min(speed, 1.0)), 1.0); }"));
  glLinkProgram(program);
  glUseProgram(program);
  GLuint buffer;
  glGenBuffers(1, &buffer);
  glBindBuffer(GL_ARRAY_BUFFER, buffer);
  const GLuint p = (GLuint)glGetAttribLocation(program, "p");
  glEnableVertexAttribArray(p);
  glVertexAttribPointer(p, 4, GL_FLOAT, GL_FALSE, 0, NULL);
  for (int i = 0; i < count; ++i) {
    particles[i].x = noise();
    particles[i].y = noise();
  }
  printf("%d particles; Stop ends them.\n", count);
  emscripten_set_main_loop(frame, 0, 0);
  return 0;
}
