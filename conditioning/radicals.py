"""The 214 Kangxi radicals: the parts by which Chinese dictionaries are ordered.

Most characters are a radical, which hints at the meaning, beside a part that hints at the sound.
Forms are those that characters are written with: the traditional form first, then the shapes
that it takes beside, above or below another part, then the simplified ones.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Radical:
    """One radical. `names` are English nouns for its meaning, the usual one first."""

    number: int
    forms: tuple[str, ...]
    names: tuple[str, ...]

    def before(self, text: str) -> str:
        """Words with the name of the radical before them: "speech; gossip"."""
        return f"{self.names[0]}; {text}"


_TABLE = """\
1 一 one
2 丨 line, vertical stroke
3 丶 dot
4 丿乀乁 slash, falling stroke
5 乙乚乛 second, bent stroke
6 亅 hook
7 二 two
8 亠 lid
9 人亻 person, man
10 儿 legs
11 入 enter
12 八丷 eight
13 冂 wide, down box
14 冖 cover
15 冫 ice
16 几 table
17 凵 container, open box
18 刀刂 knife, blade
19 力 strength, power
20 勹 wrap
21 匕 spoon, ladle
22 匚 box, right open box
23 匸 hiding enclosure
24 十 ten
25 卜 divination
26 卩㔾 seal
27 厂 cliff
28 厶 private
29 又 again, right hand
30 口 mouth
31 囗 enclosure
32 土 earth, soil
33 士 scholar
34 夂 go
35 夊 go slowly
36 夕 evening, sunset
37 大 big
38 女 woman
39 子 child
40 宀 roof
41 寸 inch
42 小⺌⺍ small
43 尢尣 lame
44 尸 corpse
45 屮 sprout
46 山 mountain
47 巛川 river
48 工 work
49 己 oneself
50 巾 turban, cloth
51 干 dry
52 幺 short thread
53 广 shelter, dotted cliff
54 廴 long stride
55 廾 two hands
56 弋 shoot
57 弓 bow
58 彐彑 snout
59 彡 bristle, hair
60 彳 step
61 心忄㣺 heart, feeling
62 戈 halberd, spear
63 戶户戸 door
64 手扌龵 hand
65 支 branch
66 攴攵 rap, tap, strike
67 文 script, writing
68 斗 dipper
69 斤 axe
70 方 square
71 无旡 not
72 日 sun, day
73 曰 say
74 月 moon
75 木 tree, wood
76 欠 lack, yawn
77 止 stop, foot
78 歹歺 death
79 殳 weapon
80 毋母 do not, mother
81 比 compare
82 毛 fur, hair
83 氏 clan
84 气 steam, air
85 水氵氺 water
86 火灬 fire
87 爪爫 claw
88 父 father
89 爻 double x, divination lines
90 爿丬 split wood, half tree trunk
91 片 slice
92 牙 fang
93 牛牜 cow, ox
94 犬犭 dog
95 玄 profound, dark
96 玉王 jade
97 瓜 melon
98 瓦 tile, pottery
99 甘 sweet
100 生 life
101 用 use
102 田 field
103 疋 bolt of cloth, cloth
104 疒 sickness, disease
105 癶 footsteps, dotted tent
106 白 white
107 皮 skin
108 皿 dish, vessel
109 目 eye
110 矛 spear
111 矢 arrow
112 石 stone, rock
113 示礻 spirit, altar
114 禸 track
115 禾 grain
116 穴 cave
117 立 stand
118 竹⺮ bamboo
119 米 rice
120 糸糹纟 silk, silk thread
121 缶 jar
122 网罒罓 net
123 羊 sheep
124 羽 feather, wing
125 老耂 old
126 而 and
127 耒 plow
128 耳 ear
129 聿肀 brush
130 肉月 meat, flesh
131 臣 minister
132 自 self
133 至 arrive
134 臼 mortar
135 舌 tongue
136 舛 oppose
137 舟 boat
138 艮 stopping, stillness
139 色 color
140 艸艹 grass, plant
141 虍 tiger
142 虫 insect
143 血 blood
144 行 street, walk enclosure
145 衣衤 clothes, clothing
146 襾西覀 west, cover
147 見见 see
148 角 horn
149 言訁讠 speech
150 谷 valley
151 豆 bean
152 豕 pig
153 豸 badger, beast
154 貝贝 shell, money
155 赤 red
156 走赱 run
157 足⻊ foot
158 身 body
159 車车 cart
160 辛 bitter
161 辰 morning
162 辵辶 walk, road
163 邑阝 city, town
164 酉 wine
165 釆 distinguish
166 里 village
167 金釒钅 gold, metal
168 長镸长 long
169 門门 gate
170 阜阝 mound, hill
171 隶 slave
172 隹 short-tailed bird
173 雨 rain
174 青靑 blue, green
175 非 wrong
176 面靣 face
177 革 leather
178 韋韦 tanned leather
179 韭 leek
180 音 sound
181 頁页 page, leaf, head
182 風风 wind
183 飛飞 fly
184 食飠饣 food, eat
185 首 head
186 香 fragrance
187 馬马 horse
188 骨 bone
189 高髙 tall
190 髟 long hair
191 鬥斗 fight
192 鬯 sacrificial wine, herbs
193 鬲 cauldron
194 鬼 ghost, demon
195 魚鱼 fish
196 鳥鸟 bird
197 鹵卤 salt
198 鹿 deer
199 麥麦 wheat
200 麻 hemp
201 黃黄 yellow
202 黍 millet
203 黑黒 black
204 黹 embroidery
205 黽黾 frog
206 鼎 tripod
207 鼓鼔 drum
208 鼠 rat, mouse
209 鼻 nose
210 齊齐 even
211 齒齿歯 tooth
212 龍龙竜 dragon
213 龜龟亀 turtle
214 龠 flute
"""


def _parse(line: str) -> Radical:
    number, forms, names = line.split(maxsplit=2)
    return Radical(int(number), tuple(forms), tuple(names.split(", ")))


RADICALS: tuple[Radical, ...] = tuple(map(_parse, _TABLE.splitlines()))


def radical(number: int) -> Radical:
    """The radical of a number from 1 to 214. Raises ValueError for any other number."""
    if not 1 <= number <= len(RADICALS):
        raise ValueError(f"there is no radical {number}: the Kangxi radicals are 1 to 214")
    return RADICALS[number - 1]


def forms(number: int) -> tuple[str, ...]:
    """How the radical of a number is written. Raises ValueError as `radical` does."""
    return radical(number).forms


def find_radical(text: str) -> Radical:
    """The radical of an English name, a form or a number: "speech", "言", "訁", "149".

    Of several with one name it is the one that is called so first, then the lower number. Raises
    ValueError, in one line, where there is none.
    """
    asked = text.strip().casefold()
    if asked.isdecimal() and len(asked) <= 9:
        return radical(int(asked))
    found = [one for one in RADICALS if asked in (*one.names, *one.forms)]
    if not found:
        raise ValueError(
            f'there is no radical "{text[:40]}": name one in English, such as speech, by a form, '
            "such as 言, or by its number, 1 to 214"
        )
    return min(found, key=lambda one: asked != one.names[0])
