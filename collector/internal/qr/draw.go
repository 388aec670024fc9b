package qr

// draw places patterns and codewords, and takes the mask that reads best.
func draw(number int, v version, codewords []byte) *Code {
	size := 17 + 4*number
	c := &Code{Size: size, dark: make([]bool, size*size), fixed: make([]bool, size*size)}
	c.patterns(number, v)
	c.fill(codewords)
	best, least := 0, -1
	for mask := range 8 {
		c.mask(mask)
		c.format(mask)
		if p := c.penalty(); least < 0 || p < least {
			best, least = mask, p
		}
		c.mask(mask) // off again
	}
	c.mask(best)
	c.format(best)
	return c
}

func (c *Code) set(x, y int, dark bool) {
	if x < 0 || y < 0 || x >= c.Size || y >= c.Size {
		return
	}
	c.dark[y*c.Size+x], c.fixed[y*c.Size+x] = dark, true
}

func (c *Code) patterns(number int, v version) {
	for i := range c.Size { // timing
		c.set(6, i, i%2 == 0)
		c.set(i, 6, i%2 == 0)
	}
	for _, corner := range [][2]int{{3, 3}, {c.Size - 4, 3}, {3, c.Size - 4}} { // finders with their borders
		for dy := -4; dy <= 4; dy++ {
			for dx := -4; dx <= 4; dx++ {
				ring := max(abs(dx), abs(dy))
				c.set(corner[0]+dx, corner[1]+dy, ring != 2 && ring != 4)
			}
		}
	}
	for _, y := range v.align {
		for _, x := range v.align {
			if last := c.Size - 7; x == 6 && (y == 6 || y == last) || x == last && y == 6 {
				continue // where the finders are
			}
			for dy := -2; dy <= 2; dy++ {
				for dx := -2; dx <= 2; dx++ {
					c.set(x+dx, y+dy, max(abs(dx), abs(dy)) != 1)
				}
			}
		}
	}
	c.format(0) // takes its place
	if number < 7 {
		return
	}
	rest := number
	for range 12 {
		rest = rest<<1 ^ rest>>11*0x1f25
	}
	for i, text := 0, number<<12|rest; i < 18; i++ {
		dark := text>>i&1 == 1
		c.set(c.Size-11+i%3, i/3, dark)
		c.set(i/3, c.Size-11+i%3, dark)
	}
}

// format writes level M and the mask, twice.
func (c *Code) format(mask int) {
	data := 0<<3 | mask // M is 00
	rest := data
	for range 10 {
		rest = rest<<1 ^ rest>>9*0x537
	}
	text := (data<<10 | rest) ^ 0x5412
	bit := func(i int) bool { return text>>i&1 == 1 }
	for i := range 6 {
		c.set(8, i, bit(i))
	}
	c.set(8, 7, bit(6))
	c.set(8, 8, bit(7))
	c.set(7, 8, bit(8))
	for i := 9; i < 15; i++ {
		c.set(14-i, 8, bit(i))
	}
	for i := range 8 {
		c.set(c.Size-1-i, 8, bit(i))
	}
	for i := 8; i < 15; i++ {
		c.set(8, c.Size-15+i, bit(i))
	}
	c.set(8, c.Size-8, true)
}

// fill writes codewords in the zigzag, from the lower right.
func (c *Code) fill(codewords []byte) {
	c.zigzag(func(at, i int) {
		if i < 8*len(codewords) {
			c.dark[at] = codewords[i/8]>>(7-i%8)&1 == 1
		}
	})
}

// zigzag visits the modules that hold data in their order.
func (c *Code) zigzag(visit func(at, i int)) {
	i := 0
	for right := c.Size - 1; right >= 1; right -= 2 {
		if right == 6 {
			right = 5 // the column of the timing pattern
		}
		for step := range c.Size {
			y := step
			if (right+1)&2 == 0 {
				y = c.Size - 1 - step
			}
			for _, x := range []int{right, right - 1} {
				if at := y*c.Size + x; !c.fixed[at] {
					visit(at, i)
					i++
				}
			}
		}
	}
}

func masked(mask, x, y int) bool {
	switch mask {
	case 0:
		return (x+y)%2 == 0
	case 1:
		return y%2 == 0
	case 2:
		return x%3 == 0
	case 3:
		return (x+y)%3 == 0
	case 4:
		return (x/3+y/2)%2 == 0
	case 5:
		return x*y%2+x*y%3 == 0
	case 6:
		return (x*y%2+x*y%3)%2 == 0
	}
	return ((x+y)%2+x*y%3)%2 == 0
}

func (c *Code) mask(mask int) {
	for at := range c.dark {
		if !c.fixed[at] && masked(mask, at%c.Size, at/c.Size) {
			c.dark[at] = !c.dark[at]
		}
	}
}

// penalty is how badly the code reads: long runs, blocks, what looks like a finder,
// and more dark than light.
func (c *Code) penalty() (sum int) {
	dark := 0
	for y := range c.Size {
		for _, module := range []func(int) bool{func(x int) bool { return c.Dark(x, y) }, func(x int) bool { return c.Dark(y, x) }} {
			run := 0
			for x := range c.Size {
				if x > 0 && module(x) == module(x-1) {
					run++
				} else {
					run = 1
				}
				if run == 5 {
					sum += 3
				} else if run > 5 {
					sum++
				}
				if x+11 <= c.Size && looksLikeFinder(module, x) {
					sum += 40
				}
			}
		}
		for x := range c.Size {
			if c.Dark(x, y) {
				dark++
			}
			if d := c.Dark(x, y); x+1 < c.Size && y+1 < c.Size && c.Dark(x+1, y) == d && c.Dark(x, y+1) == d && c.Dark(x+1, y+1) == d {
				sum += 3
			}
		}
	}
	all := c.Size * c.Size
	return sum + 10*(abs(20*dark-10*all)/all)
}

// looksLikeFinder finds 1011101 with four light modules before or after.
func looksLikeFinder(module func(int) bool, x int) bool {
	text := 0
	for i := range 11 {
		text <<= 1
		if module(x + i) {
			text |= 1
		}
	}
	return text == 0b10111010000 || text == 0b00001011101
}

func abs(n int) int { return max(n, -n) }
