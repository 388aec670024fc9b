package resolve

import (
	"slices"
	"strings"
)

// legalForms are folded words that say what kind of company a name is of. Two
// records of one company often differ in nothing else.
var legalForms = func() map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(`inc incorporated corp corporation co company llc llp lp plc ltd limited ltda lda pte pty pvt private public
		gmbh mbh ag kg ohg ug se ev eg sa sas sasu sarl srl spa snc sca nv bv cv bvba sprl ab aktiebolag as asa aps oy oyj hf ehf
		kft zrt nyrt doo dd ad ood eood jsc ojsc cjsc llc tov too pao oao zao ooo ao ип ооо ао пао оао зао тоо тов
		sdn bhd tbk pt kk gk yk fze fzco fzllc dmcc eirl sab sapi de cv ltee ltée holding holdings group
		有限公司 股份有限公司 有限责任公司 株式会社 合同会社 有限会社 주식회사 유한회사 αε επε ικε`) {
		out[Fold(w)] = true
	}
	return out
}()

// suffixes are legal forms that are written without a space before them.
var suffixes = []string{"股份有限公司", "有限责任公司", "有限公司", "株式会社", "合同会社", "有限会社", "주식회사", "유한회사"}

// Words returns the words of a folded name of an organisation without its legal
// form. A name that consists of nothing else keeps its words.
func Words(folded string) []string {
	all := strings.Fields(folded)
	for i, w := range all {
		for _, s := range suffixes {
			if rest := strings.TrimPrefix(strings.TrimSuffix(w, s), s); rest != "" {
				all[i], w = rest, rest
			}
		}
	}
	kept := slices.DeleteFunc(slices.Clone(all), func(w string) bool { return legalForms[w] || w == "the" || w == "and" || w == "of" })
	if len(kept) == 0 {
		return all
	}
	return kept
}
