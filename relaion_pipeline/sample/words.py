# ruff: noqa: RUF001, SIM905 - letters of many scripts are the point here; word lists read best as running text
"""The words that sample texts are made of, by language, and the sample's keyword list.

What belongs here: vocabulary, and which spellings of a keyword a text may use. Every word is ordinary or invented.
What does not: how many words a text has and where a keyword stands in it (`rows.py`).

No word holds a keyword: a text holds one only where the plan puts it, so its share of the rows is known exactly.
"""

from dataclasses import dataclass

_SYLLABLES = "bra vel mo ri ta lun ke zo shi del fa gor ni pel qua sto wen dri hal jo".split()


def invented_names(count: int) -> list[str]:
    """`count` distinct invented names, shortest first; always the same ones."""
    names: list[str] = []
    tails = [""]
    while len(names) < count:
        tails = [head + tail for tail in tails for head in _SYLLABLES]
        if len(tails[0]) > len(_SYLLABLES[0]):
            # A prime stride spreads neighbouring names over the alphabet.
            names += [tails[at * 7919 % len(tails)] for at in range(len(tails))]
    return names[:count]


@dataclass(frozen=True)
class Language:
    """One language's words. `share` is its weight within its subset; `separator` stands between words."""

    code: str
    share: float
    words: tuple[str, ...]
    keywords: tuple[str, ...]
    separator: str = " "


_MARKUP = ("-", "|", "&amp;", '"', "–", "\n", "(2)", "№", "™", "📷", "...", ",")

_EN = """
the of and in with for on at by from new photo image picture view stock vector illustration background white black red
blue green wooden vintage modern home kitchen garden house room bedroom living table chair lamp dress women men kids
shirt shoes wedding party birthday cake flower flowers tree forest river lake mountain beach sunset city street old
town castle church bridge museum art print poster canvas wall decor design logo icon set free download best top how to
make recipe chicken soup salad bread coffee tea wine car engine bike road map train station airport plane boat ship
dog cat horse bird fish animal wild nature landscape winter summer spring autumn christmas tree gift card happy family
people man woman girl boy child team player football game match season live music concert band guitar album cover book
page movie scene screenshot phone case leather bag wallet watch ring necklace silver gold diamond handmade product
review sale price shop online store size large small for sale real estate floor plan office building tower hotel pool
travel guide tour island coast harbour market food plate bowl glass bottle box paper pattern texture seamless abstract
colourful bright dark light night day morning sky cloud rain snow storm water fire stone metal glass round square
"""
_DE = """
der die das und mit für von im auf aus Bild Foto Haus Garten Küche Wohnzimmer Tisch Stuhl Lampe Kleid Damen Herren
Kinder Schuhe Hochzeit Geburtstag Kuchen Blumen Baum Wald Fluss See Berg Strand Stadt Straße Kirche Brücke Museum
Kunst Poster Wand Rezept Hühnersuppe Brötchen Kaffee größe weiß schön günstig kaufen Angebot neu alt Ansichtskarte
"""
_FR = """
le la les de du des et avec pour sur dans en photo image maison jardin cuisine salon table chaise lampe robe femme
homme enfant chaussures mariage anniversaire gâteau fleurs arbre forêt rivière lac montagne plage ville rue église
pont musée affiche décoration recette été hiver château à vendre pas cher noël crème forêt île d'été l'art
"""
_ES = """
el la los las de del y con para en por foto imagen casa jardín cocina salón mesa silla lámpara vestido mujer hombre
niño zapatos boda cumpleaños pastel flores árbol bosque río lago montaña playa ciudad calle iglesia puente museo
cuadro decoración receta año español barato oferta nuevo antiguo corazón señal café
"""
_RU = """
и в на с для из фото картинка дом сад кухня комната стол стул лампа платье женщина мужчина дети обувь свадьба торт
цветы дерево лес река озеро гора пляж город улица церковь мост музей плакат рецепт купить цена новый старый зима лето
своими руками размер интерьер дизайн красивый
"""
_JA = "写真 画像 無料 素材 東京 京都 の と に で は 春 夏 秋 冬 花 桜 海 山 猫 犬 料理 レシピ 旅行 駅 電車"
_ZH = "图片 照片 北京 上海 的 和 在 中国 风景 城市 花园 厨房 设计 免费 下载 素材 高清 摄影 春天 冬天 美食 旅游"
_TH = "รูปภาพ บ้าน สวน ดอกไม้ ทะเล ภูเขา อาหาร สูตร เมือง ถนน วัด สะพาน ราคา ถูก ใหม่ เก่า สวย ฟรี แมว หมา รถ"
_AR = "صورة بيت حديقة مطبخ غرفة طاولة كرسي فستان نساء رجال أطفال زهور شجرة غابة نهر بحيرة جبل شاطئ مدينة شارع جسر متحف"
_NOLANG = "IMG DSC DSCN P10 HD 4K XL mm cm kg v2 No. EU USB LED 2-in-1 image photo jpg png A4 #1 № 12V"

# Words that merely hold a keyword: a screen that ignores word boundaries removes them wrongly.
_NEAR_MISSES = ("boudoirstyle", "superlingerie24", "Burlesqueria")

_LATIN_KEYWORDS = (
    "lingerie", "Lingerie", "LINGERIE", "ｌｉｎｇｅｒｉｅ", "boudoir", "Boudoir", "burlesque", "pin up", "Pin Up",
    "décolleté", "DÉCOLLETÉ", "de\u0301collete\u0301", "nachtspaß", "NACHTSPASS",
)  # fmt: skip
_RUSSIAN_KEYWORDS = ("бурлеск", "Бурлеск", "БУРЛЕСК")
_JAPANESE_KEYWORDS = ("水着", "ランジェリー", "ﾗﾝｼﾞｪﾘｰ")
_CHINESE_KEYWORDS = ("比基尼",)
_THAI_KEYWORDS = ("ชุดว่ายน้ำ",)
_ARABIC_KEYWORDS = ("بوركيني",)

KEYWORD_FILE = """\
# Keywords of the sample, one word or phrase a line: invented or mild, in several scripts.
# Matched over NFKC and case folding, at word boundaries; as substrings in scripts without spaces.
lingerie
boudoir
burlesque
pin up
décolleté
nachtspaß
бурлеск
水着
ランジェリー
比基尼
ชุดว่ายน้ำ
بوركيني
"""

_NAMES = tuple(invented_names(2_000))
_NUMBERS = tuple(str(number) for number in range(1, 400))


def _spaced(text: str) -> tuple[str, ...]:
    # Common words first and often: a word is drawn by a law that favours low positions.
    return (*text.split(), *_NEAR_MISSES, *_MARKUP, *_NAMES[:600], *_NUMBERS[:60])


LANGUAGES: dict[str, tuple[Language, ...]] = {
    "2B-en": (Language("en", 1.0, _spaced(_EN), _LATIN_KEYWORDS),),
    "2B-multi": (
        Language("de", 0.20, _spaced(_DE), _LATIN_KEYWORDS),
        Language("fr", 0.18, _spaced(_FR), _LATIN_KEYWORDS),
        Language("es", 0.18, _spaced(_ES), _LATIN_KEYWORDS),
        Language("ru", 0.18, _spaced(_RU), _RUSSIAN_KEYWORDS),
        Language("ja", 0.10, tuple(_JA.split()), _JAPANESE_KEYWORDS, separator=""),
        Language("zh", 0.08, tuple(_ZH.split()), _CHINESE_KEYWORDS, separator=""),
        Language("th", 0.04, tuple(_TH.split()), _THAI_KEYWORDS, separator=""),
        Language("ar", 0.04, (*_AR.split(), *_NUMBERS[:30]), _ARABIC_KEYWORDS),
    ),
    "1B-nolang": (Language("", 1.0, (*_NOLANG.split(), *_NUMBERS, *_NAMES), _LATIN_KEYWORDS),),
}
"""What each subset's texts are written in."""
