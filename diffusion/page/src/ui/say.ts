/** What the page says, in English and Chinese. The English is the key of the Chinese. */

import type { Code, Passed } from "../messages";
import { parameters } from "./state";

const LONGEST = 60; // characters of what a sentence is about

const CHINESE = {
  // ---- on the page from the start
  "Tianshu: characters that nobody has written": "天書：没有人写过的字",
  "To the characters": "跳到字",
  "Characters that nobody has written": "没有人写过的字",
  Language: "语言",
  中文: "English",
  "English words": "英文词语",
  "a word in English": "输入英文，如 gold",
  "Words at the other end": "另一端的词语",
  "another word": "另一个词",
  "Between two": "两词之间",
  "One word": "只要一词",
  "How far from one to the other": "从一词到另一词的远近",
  "Fetching the model": "正在下载模型",
  Radical: "部首",
  Part: "部件",
  Sound: "读音",
  Layout: "结构",
  Guidance: "引导",
  Seed: "种子",
  any: "任意",
  none: "无",
  "as usual": "照常",
  "In Pinyin, such as luo or luó": "拼音，如 luo 或 luó",
  "left-right": "左右",
  "top-bottom": "上下",
  enclosed: "包围",
  "How hard to follow the words": "多大程度上依从词语",
  others: "换一批",
  "Draw it": "手绘",
  Reset: "重置",
  Characters: "字",
  "Four more": "再来四个",
  "All of them as": "全部存为",
  "A font of your words": "你的词语字体",
  "Write words, one on each line. In the font, whoever types a word sees its character.":
    "每行写一个词。用这款字体打出一个词，看到的便是它的字。",
  "Words, one on each line": "词语，每行一个",
  "Make the font": "制作字体",
  "Drawing the words": "正在画词语",
  "Type in your font": "用你的字体打字",
  "Download the font": "下载字体",
  "Nothing is sent anywhere.": "任何内容都不会外传。",
  "Outlines of parts, and the letters of fonts, are from Noto Sans SC (SIL Open Font License 1.1).":
    "部件的轮廓和字体中的字母出自 Noto Sans SC（SIL 开放字体许可证 1.1）。",
  " The model runs here, in your browser; what you type and draw stays with you, and no page of others is asked for anything.":
    "模型就在你的浏览器里运行；你输入的和画的都留在你这里，本页也不向别处索取任何东西。",
  "What it draws is yours to use for anything. “New” means new to a model that knows 27,572 characters; Unicode has over 97,000. The name is that of Xu Bing’s ":
    "它画的字，你可以随意使用。所谓“新”，是就一个认识 27,572 个字的模型而言；Unicode 有九万七千多字。名称取自徐冰的",
  "Book from the Sky": "《天书》",
  ", printed from four thousand characters that he invented.": "，那部书用他创造的四千个字印成。",
  "The characters are drawn by a script of this page: please allow scripts.":
    "字由本页的脚本来画：请允许运行脚本。",
  // ---- fetching
  "Fetching the model, {loaded} of {total} MB. This happens once; afterwards the page works offline.":
    "正在下载模型：{loaded}／{total} MB。只需一次，此后离线也能用。",
  "Preparing the model.": "正在准备模型。",
  // ---- a character
  "A character for “{prompt}”": "“{prompt}”的字",
  "{form} and {part}, {layout}": "{form}与{part}，{layout}",
  "A character, on its way": "字还没画好",
  "Is already": "已有",
  Nearest: "最近",
  "Exists as": "即是",
  likeness: "相似度",
  Watch: "看它成形",
  "character {number}": "第 {number} 字",
  "come out of noise, character {number}": "第 {number} 字，从噪声中来",
  "{count} characters for “{prompt}”": "“{prompt}”的 {count} 个字",
  // ---- choosers
  "Find a radical: metal, 金 or 167": "查部首：metal、金 或 167",
  "Find a part: 里, lǐ, or ghost": "查部件：里、lǐ 或 ghost",
  "no radical before the words": "不加部首",
  "left to the network": "由网络决定",
  "as you typed it": "按你输入的",
  "Nothing of that name.": "没有这个名称。",
  "Type to find {count} more.": "输入以查找其余 {count} 个。",
  // ---- drawing
  "Your drawing": "你的画",
  "A field to draw in with the pointer. By keyboard: arrows move the brush, space puts it down and lifts it.":
    "可用指针作画。用键盘：方向键移动画笔，空格键落笔和提笔。",
  "Draw a whole character; those beside it follow it.": "画一整个字，旁边的字便随它而变。",
  Undo: "撤销",
  Clear: "清空",
  Close: "收起",
  "Brush down": "落笔",
  "Brush up": "提笔",
  // ---- the font
  "{done} of {count} words": "{count} 词中的 {done} 个",
  "Your font is ready: {words}.": "字体已备好：{words}。",
  "Write at least one word for the font.": "请至少写一个词。",
  "{count} words are too many at once: take at most {most}.":
    "{count} 个词太多了：一次最多 {most} 个。",
  // ---- what is passed over
  "The model does not know “{text}”.": "模型不认识“{text}”。",
  "Too long: the model stops reading before “{text}”.": "太长了：模型读不到“{text}”。",
  "Read as “{text}”.": "读作“{text}”。",
  "AND is read here as a word; Python makes a radical and a part of it.":
    "此处把 AND 读作普通的词；Python 版会用它来拼部首和部件。",
  // ---- what went wrong
  "Type a word: gold, perhaps.": "请输入一个词，比如 gold。",
  "The words are longer than the model reads: say it in fewer.": "词语超出模型能读的长度：请说短一些。",
  "No part is called “{text}”: give a Chinese character, such as 里, or another English word.":
    "没有叫“{text}”的部件：请用一个汉字，如里，或换一个英文词。",
  "A character has a radical and one part: name one part alone.":
    "一个字只有一个部首和一个部件：请只写一个部件。",
  "No part is read “{text}”: give Pinyin, such as luo or luó.":
    "没有读作“{text}”的部件：请用拼音，如 luo 或 luó。",
  "No radical is called “{text}”: choose one from the list.":
    "没有叫“{text}”的部首：请从表中选一个。",
  "These never stand together so: try another layout, part or radical.":
    "它们从不这样相配：请换一种结构、部件或部首。",
  "This browser is too old to run the model (it has no WebAssembly SIMD): any current one can.":
    "这个浏览器太旧，不能运行模型（没有 WebAssembly SIMD）：现今的浏览器都可以。",
  "The download of the model was cut off.": "模型的下载中断了。",
  "A file of the model is damaged, and is to be fetched again.": "模型的一个文件已损坏，需要重新下载。",
  "Something went wrong that should not: {text}": "出了意外：{text}",
  "Try again": "重试",
  "A seed is a whole number from 0 on.": "种子是从 0 起的整数。",
} as const;

/** A text that the page says. */
export type Text = keyof typeof CHINESE;

/** The language of the page: English, or with `?lang=zh` Chinese. */
export const language = parameters().get("lang") === "zh" ? "zh" : "en";

/** A text in the language of the page, with values in the place of their names in braces. */
export function say(text: Text, values: Record<string, string | number> = {}): string {
  const said: string = language === "zh" ? CHINESE[text] : text;
  return said.replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all));
}

/** The text for a number of characters or words in the page's own way of writing numbers. */
export function number(value: number, digits = 0): string {
  return value.toLocaleString(language, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Translates all that stands on the page, where its language is not English. */
export function translate(): void {
  if (language === "en") return;
  document.documentElement.lang = language;
  const texts = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode as globalThis.Text;
    if (node.data in CHINESE) node.data = CHINESE[node.data as Text];
  }
  for (const name of ["aria-label", "placeholder", "title"])
    for (const element of document.querySelectorAll(`[${name}]`)) {
      const text = element.getAttribute(name)!;
      if (text in CHINESE) element.setAttribute(name, CHINESE[text as Text]);
    }
}

/** One calm sentence for what a prompt loses, or is read as. */
export function passed(code: Passed, about: string): string {
  const text = shortened(about);
  switch (code) {
    case "unknown-words": return say("The model does not know “{text}”.", { text });
    case "words-lost": return say("Too long: the model stops reading before “{text}”.", { text });
    case "read-as": return say("Read as “{text}”.", { text });
    case "conjunction": return say("AND is read here as a word; Python makes a radical and a part of it.");
  }
}

/** One calm sentence for what went wrong, and with what. */
export function wrong(code: Code, about: string): string {
  const text = shortened(about);
  switch (code) {
    case "empty": return say("Type a word: gold, perhaps.");
    case "too-long": return say("The words are longer than the model reads: say it in fewer.");
    case "unknown-part": return say("No part is called “{text}”: give a Chinese character, such as 里, or another English word.", { text });
    case "several-parts": return say("A character has a radical and one part: name one part alone.");
    case "unknown-sound": return say("No part is read “{text}”: give Pinyin, such as luo or luó.", { text });
    case "unknown-radical": return say("No radical is called “{text}”: choose one from the list.", { text });
    case "cannot-stand": return say("These never stand together so: try another layout, part or radical.");
    case "no-simd": return say("This browser is too old to run the model (it has no WebAssembly SIMD): any current one can.");
    case "cut-off": return say("The download of the model was cut off.");
    case "damaged": return say("A file of the model is damaged, and is to be fetched again.");
    default: return say("Something went wrong that should not: {text}", { text });
  }
}

/** As much of a text as goes into a sentence. */
function shortened(text: string): string {
  const letters = [...text];
  return letters.length > LONGEST ? `${letters.slice(0, LONGEST - 1).join("")}…` : text;
}
