"""TensorFlow ops without multiply-adds: all but convolutions, matrix products and inner products.

For loops, calls, convolutions and products see `traced_costs`.
"""

# Arithmetic, activations, comparisons, casts, normalisation, random numbers.
_ELEMENT_WISE = """
Abs AccumulateNV2 Acos Acosh Add AddN AddV2 Angle ApproximateEqual Asin Asinh Assert Atan Atan2
Atanh BesselI0 BesselI0e BesselI1 BesselI1e BiasAdd BiasAddV1 Bitcast BitwiseAnd BitwiseOr
BitwiseXor Cast Ceil CheckNumerics CheckNumericsV2 ClipByValue Complex ComplexAbs Conj Cos Cosh
Cross Digamma Div DivNoNan Elu Equal Erf Erfc Erfinv Exp Expm1 FakeQuantWithMinMaxArgs
FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel Floor FloorDiv FloorMod FusedBatchNorm
FusedBatchNormV2 FusedBatchNormV3 Greater GreaterEqual Igamma Imag Inv Invert IsFinite IsInf IsNan
L2Loss LeakyRelu LeftShift Less LessEqual Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr
LogSoftmax LRN Maximum Minimum Mod Mul MulNoNan Multinomial Ndtri Neg NextAfter NotEqual
ParameterizedTruncatedNormal Polygamma Pow QuantizeAndDequantizeV2 QuantizeAndDequantizeV3
QuantizeAndDequantizeV4 RandomGamma RandomShuffle RandomStandardNormal RandomUniform
RandomUniformInt Real RealDiv Reciprocal Relu Relu6 RightShift Rint Round Rsqrt Select SelectV2
Selu Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Square SquaredDifference
StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomNormal
StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformFullInt
StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2
StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal StatelessTruncatedNormalV2 Sub
Tan Tanh TruncateDiv TruncatedNormal TruncateMod Xdivy Xlog1py Xlogy Zeta
"""
# Reductions, pools, sorting, resizing, colours.
_REDUCTIONS = """
AdjustContrastv2 AdjustHue AdjustSaturation All Any ArgMax ArgMin AvgPool AvgPool3D Bincount
Bucketize CropAndResize Cummax Cumprod Cumsum CumulativeLogsumexp DenseBincount EuclideanNorm
FractionalAvgPool FractionalMaxPool HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3
InTopK InTopKV2 Max MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Mean Median Min
NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 Prod ResizeArea ResizeBicubic
ResizeBilinear ResizeNearestNeighbor RGBToHSV ScaleAndTranslate SegmentMax SegmentMaxV2
SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum SegmentSumV2 Sum TopK
TopKV2 Unique UniqueV2 UniqueWithCounts UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
UnsortedSegmentSum
"""
# Creation and movement of data.
_MOVES = """
BatchToSpace BatchToSpaceND BroadcastArgs BroadcastTo Concat ConcatOffset ConcatV2
ConjugateTranspose Const DepthToSpace Diag DiagPart DynamicPartition DynamicStitch Empty
EmptyTensorList EnsureShape ExpandDims ExtractImagePatches ExtractVolumePatches Fill Gather
GatherNd GatherV2 Identity IdentityN InplaceUpdate InvertPermutation LinSpace ListDiff LowerBound
MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2
MatrixDiagV3 MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad OneHot OnesLike Pack Pad
PadV2 ParallelDynamicStitch Placeholder PlaceholderWithDefault PreventGradient Range Rank
ReadVariableOp Reshape ResourceGather ResourceGatherNd Reverse ReverseSequence ReverseV2 Roll
RollV2 ScatterNd SearchSorted Shape ShapeN Size Slice Snapshot SpaceToBatch SpaceToBatchND
SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice TensorArrayGatherV3 TensorArrayReadV3
TensorArrayScatterV3 TensorArraySizeV3 TensorArrayV3 TensorArrayWriteV3 TensorListConcatV2
TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack
TensorListPushBack TensorListReserve TensorListResize TensorListSetItem TensorListStack
TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
TensorStridedSliceUpdate Tile Transpose Unpack UnravelIndex UpperBound VarHandleOp Variable
VariableV2 Where XlaDynamicSlice XlaDynamicUpdateSlice XlaGather XlaKeyValueSort XlaPad XlaScatter
XlaSort ZerosLike
"""

FREE = frozenset(f"{_ELEMENT_WISE} {_REDUCTIONS} {_MOVES}".split())
"""Types of ops that the survey counts as free."""
