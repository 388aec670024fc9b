package compute

// Precision is the number format of an operation.
type Precision string

// The precisions that the catalogue knows. FP64Tensor, TF32 and 16 bit and below
// run on tensor cores, FP64 and FP32 on the others.
const (
	FP64       Precision = "fp64"
	FP64Tensor Precision = "fp64_tensor"
	FP32       Precision = "fp32"
	TF32       Precision = "tf32"
	BF16       Precision = "bf16" // and fp16, which has the same rate everywhere
	FP8        Precision = "fp8"
	INT8       Precision = "int8"
	FP4        Precision = "fp4"
)
