import { area, type Shape } from "./shapes";

const shapes: Shape[] = [
  { kind: "circle", radius: 1 },
  { kind: "rectangle", width: 3, height: 4 },
];
for (const shape of shapes) console.log(`${shape.kind.padEnd(10)} ${area(shape).toFixed(2)}`);
