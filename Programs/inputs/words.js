// QuickJS: counts the words of every file in a folder.
import * as os from "qjs:os";
import * as std from "qjs:std";

const counts = new Map();
const [names, error] = os.readdir("/texts");
if (error) throw new Error("no /texts");
for (const name of names.filter(name => name.endsWith(".md")).sort()) {
    const text = std.loadFile("/texts/" + name);
    for (const word of text.toLowerCase().split(/[^a-z]+/).filter(Boolean)) counts.set(word, (counts.get(word) || 0) + 1);
}
const ranking = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
const file = std.open("/job/words.json", "w");
file.puts(JSON.stringify(Object.fromEntries(ranking), null, 1) + "\n");
file.close();
console.log(ranking.slice(0, 5).map(([word, count]) => `${count} ${word}`).join("\n"));
