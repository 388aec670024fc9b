package resolve

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold returns the text as names are compared: NFKC, case folded, without marks
// that only decorate Latin, Greek and Cyrillic letters, and with one space for
// whatever is between words. Marks of other scripts are letters there and stay.
func Fold(s string) string {
	// Lower after folding: Cherokee alone folds to capitals.
	s = norm.NFD.String(strings.ToLower(cases.Fold().String(norm.NFKC.String(s))))
	var b strings.Builder
	space, base := true, rune(0)
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Mn, r):
			if !unicode.In(base, unicode.Latin, unicode.Greek, unicode.Cyrillic) || base == 'и' && r == 0x306 {
				b.WriteRune(r)
			}
			continue
		case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point):
			continue // what nobody sees distinguishes no names
		case unicode.IsLetter(r), unicode.IsNumber(r), unicode.Is(unicode.Mc, r):
			if to, ok := latin[r]; ok {
				b.WriteString(to)
			} else {
				b.WriteRune(r)
			}
			space, base = false, r
		case r == '\'' || r == '’' || r == '.' || r == '·':
			// O'Neill is ONeill, and S.A. is SA.
		default:
			if !space {
				b.WriteByte(' ')
			}
			space, base = true, 0
		}
	}
	return norm.NFC.String(strings.TrimSuffix(b.String(), " "))
}

// latin are letters that no mark makes.
var latin = map[rune]string{'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'æ': "ae", 'œ': "oe", 'ħ': "h", 'ı': "i", 'ŋ': "ng", 'ə': "a"}

// Transliterate writes folded Cyrillic, Greek, Hangul and Kana in Latin letters,
// roughly as passports do (ICAO 9303-3 for Cyrillic, ELOT 743 for Greek, the
// Revised Romanization for Hangul, Hepburn for Kana). Letters of other scripts
// stay as they are: of those a record should bring its own Latin form.
func Transliterate(folded string) string {
	var b strings.Builder
	for _, r := range norm.NFC.String(folded) {
		switch to, ok := letters[r]; {
		case ok:
			b.WriteString(to)
		case r >= 0xac00 && r <= 0xd7a3:
			n := int(r - 0xac00)
			b.WriteString(initials[n/588] + vowels[n%588/28] + finals[n%28])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

var letters = func() map[rune]string {
	out := map[rune]string{}
	for _, table := range []string{
		"а a б b в v г g д d е e ё e ж zh з z и i й i к k л l м m н n о o п p р r с s т t у u ф f х kh ц ts ч ch ш sh щ shch ъ ie ы y ь _ э e ю iu я ia і i ї i є ie ґ g ў u ј j љ lj њ nj ћ c ђ d џ dz ѓ g ќ k ә a ғ g қ k ң n ө o ұ u ү u һ h",
		"α a β v γ g δ d ε e ζ z η i θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y φ f χ ch ψ ps ω o",
		"ア a イ i ウ u エ e オ o カ ka キ ki ク ku ケ ke コ ko サ sa シ shi ス su セ se ソ so タ ta チ chi ツ tsu テ te ト to ナ na ニ ni ヌ nu ネ ne ノ no ハ ha ヒ hi フ fu ヘ he ホ ho マ ma ミ mi ム mu メ me モ mo ヤ ya ユ yu ヨ yo ラ ra リ ri ル ru レ re ロ ro ワ wa ヲ o ン n ガ ga ギ gi グ gu ゲ ge ゴ go ザ za ジ ji ズ zu ゼ ze ゾ zo ダ da ヂ ji ヅ zu デ de ド do バ ba ビ bi ブ bu ベ be ボ bo パ pa ピ pi プ pu ペ pe ポ po ャ ya ュ yu ョ yo ッ _ ー _ ァ a ィ i ェ e ォ o",
	} {
		words := strings.Fields(table)
		for i := 0; i < len(words); i += 2 {
			r := []rune(words[i])[0]
			out[r] = strings.Trim(words[i+1], "_")
			if r >= 'ァ' && r <= 'ヶ' {
				out[r-0x60] = out[r] // Hiragana
			}
		}
	}
	return out
}()

var (
	initials = strings.Split("g kk n d tt r m b pp s ss  j jj ch k t p h", " ")
	vowels   = strings.Split("a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i", " ")
	finals   = strings.Split(" k k k n n n t l k m l l l p l m p p t t ng t t k t p t", " ")
)
