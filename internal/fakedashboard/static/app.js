"use strict";

const log = document.getElementById("log");
const state = document.getElementById("state");
const url = new URL("/echo", location.href);
url.protocol = url.protocol.replace("http", "ws");

const socket = new WebSocket(url);
socket.addEventListener("open", () => { state.textContent = "open"; });
socket.addEventListener("close", () => { state.textContent = "closed"; });
socket.addEventListener("message", (event) => {
  const item = document.createElement("li");
  item.textContent = event.data;
  log.append(item);
});

document.getElementById("say").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(document.getElementById("message").value);
  }
});
