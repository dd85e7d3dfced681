using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>The vector instructions that have handlers of their own, and the state-saving ones.</summary>
internal static unsafe class VectorSelector
{
    public static Selection Select(in Instruction instruction, ref Op op)
    {
        switch (instruction.Code)
        {
            case Code.Movups_xmm_xmmm128 or Code.Movupd_xmm_xmmm128 or Code.Movdqu_xmm_xmmm128 or Code.Lddqu_xmm_m128:
                return Wide(instruction, ref op, load: true, aligned: false);
            case Code.Movaps_xmm_xmmm128 or Code.Movapd_xmm_xmmm128 or Code.Movdqa_xmm_xmmm128 or Code.Movntdqa_xmm_m128:
                return Wide(instruction, ref op, load: true, aligned: true);
            case Code.Movups_xmmm128_xmm or Code.Movupd_xmmm128_xmm or Code.Movdqu_xmmm128_xmm:
                return Wide(instruction, ref op, load: false, aligned: false);
            case Code.Movaps_xmmm128_xmm or Code.Movapd_xmmm128_xmm or Code.Movdqa_xmmm128_xmm:
            case Code.Movntps_m128_xmm or Code.Movntpd_m128_xmm or Code.Movntdq_m128_xmm:
                return Wide(instruction, ref op, load: false, aligned: true);
            case Code.Pxor_xmm_xmmm128 or Code.Xorps_xmm_xmmm128 or Code.Xorpd_xmm_xmmm128 when instruction.GetOpKind(1) == OpKind.Register:
                ReadNumbers(instruction, ref op);
                op.Handler = &VectorMoveHandlers.ExclusiveOr;
                return Selection.Continues;
            case Code.Movq_xmm_xmmm64 or Code.Movsd_xmm_xmmm64 when instruction.GetOpKind(1) == OpKind.Memory:
            case Code.Movq_xmm_rm64 when instruction.GetOpKind(1) == OpKind.Memory:
                ReadNumbers(instruction, ref op);
                op.Handler = &VectorMoveHandlers.LoadScalar<Size64>;
                return Selection.Continues;
            case Code.Movss_xmm_xmmm32 or Code.Movd_xmm_rm32 when instruction.GetOpKind(1) == OpKind.Memory:
                ReadNumbers(instruction, ref op);
                op.Handler = &VectorMoveHandlers.LoadScalar<Size32>;
                return Selection.Continues;
            case Code.Movq_xmmm64_xmm or Code.Movsd_xmmm64_xmm or Code.Movq_rm64_xmm when instruction.GetOpKind(0) == OpKind.Memory:
                ReadNumbers(instruction, ref op);
                op.Handler = &VectorMoveHandlers.StoreScalar<Size64>;
                return Selection.Continues;
            case Code.Movss_xmmm32_xmm or Code.Movd_rm32_xmm when instruction.GetOpKind(0) == OpKind.Memory:
                ReadNumbers(instruction, ref op);
                op.Handler = &VectorMoveHandlers.StoreScalar<Size32>;
                return Selection.Continues;
            case Code.Movq_xmm_rm64 or Code.Movd_xmm_rm32:
                op.R0 = (byte)instruction.GetOpRegister(0).GetNumber();
                op.R1 = OperandReader.Offset(instruction.GetOpRegister(1));
                op.Handler = instruction.Code == Code.Movq_xmm_rm64
                    ? &VectorMoveHandlers.FromGeneral<Size64> : &VectorMoveHandlers.FromGeneral<Size32>;
                return Selection.Continues;
            case Code.Movq_rm64_xmm or Code.Movd_rm32_xmm:
                op.R0 = OperandReader.Offset(instruction.GetOpRegister(0));
                op.R1 = (byte)instruction.GetOpRegister(1).GetNumber();
                op.Handler = instruction.Code == Code.Movq_rm64_xmm
                    ? &VectorMoveHandlers.ToGeneral<Size64> : &VectorMoveHandlers.ToGeneral<Size32>;
                return Selection.Continues;
            default:
                return SelectState(instruction, ref op);
        }
    }

    private static Selection SelectState(in Instruction instruction, ref Op op)
    {
        if (instruction.Mnemonic is Mnemonic.Fxsave64 or Mnemonic.Fxrstor64 or Mnemonic.Xsave64 or Mnemonic.Xsaveopt64 or Mnemonic.Xsavec64
            or Mnemonic.Xrstor64)
        {
            op.Flags |= OpFlags.Variant;
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Fxsave or Mnemonic.Fxsave64:
                op.Handler = &XsaveHandlers.FxSave;
                return Selection.Continues;
            case Mnemonic.Fxrstor or Mnemonic.Fxrstor64:
                op.Handler = &XsaveHandlers.FxRestore;
                return Selection.Continues;
            case Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsaveopt or Mnemonic.Xsaveopt64:
                op.Handler = &XsaveHandlers.Save;
                return Selection.Continues;
            case Mnemonic.Xsavec or Mnemonic.Xsavec64:
                op.Imm = 1;
                op.Handler = &XsaveHandlers.Save;
                return Selection.Continues;
            case Mnemonic.Xrstor or Mnemonic.Xrstor64:
                op.Handler = &XsaveHandlers.Restore;
                return Selection.Continues;
            case Mnemonic.Xsaves or Mnemonic.Xsaves64 or Mnemonic.Xrstors or Mnemonic.Xrstors64:
                op.Handler = &SystemHandlers.Undefined;
                return Selection.Ends;
            case Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr:
                op.Handler = &XsaveHandlers.LoadMxcsr;
                return Selection.Continues;
            case Mnemonic.Stmxcsr or Mnemonic.Vstmxcsr:
                op.Handler = &XsaveHandlers.StoreMxcsr;
                return Selection.Continues;
            default:
                return Selection.NotMine;
        }
    }

    private static Selection Wide(in Instruction instruction, ref Op op, bool load, bool aligned)
    {
        ReadNumbers(instruction, ref op);
        op.Imm = aligned ? 1 : 0;
        op.Handler = (op.Flags & OpFlags.Memory) == 0 ? &VectorMoveHandlers.Copy16
            : load ? &VectorMoveHandlers.Load16
            : &VectorMoveHandlers.Store16;
        return Selection.Continues;
    }

    /// <summary>XMM registers by number instead of offset.</summary>
    private static void ReadNumbers(in Instruction instruction, ref Op op)
    {
        if (instruction.GetOpKind(0) == OpKind.Register)
        {
            op.R0 = (byte)instruction.GetOpRegister(0).GetNumber();
        }

        if (instruction.GetOpKind(1) == OpKind.Register)
        {
            op.R1 = (byte)instruction.GetOpRegister(1).GetNumber();
        }
    }
}
