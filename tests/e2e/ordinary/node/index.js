const ms = require("ms");
require("http").createServer((_, answer) => answer.end(`two days are ${ms("2 days")} ms\n`)).listen(80);
