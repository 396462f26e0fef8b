const express = require("express");

const app = express();
app.get("/", (request, response) => {
  console.log("asked for", request.originalUrl);
  response.send("<!doctype html><title>Express</title><h1>Express is here</h1>");
});
app.get("/api/time", (request, response) => response.json({ time: new Date().toISOString() }));
app.listen(process.env.PORT, () => console.log("listening"));
