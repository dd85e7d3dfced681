using Iced.Intel;
using unsafe Handler = delegate*<Shinano.Cpu.Interpreter.Core*, Shinano.Cpu.Interpreter.Op*, Shinano.Cpu.Interpreter.Op*>;

namespace Shinano.Cpu.Interpreter;

/// <summary>Chooses among the handlers of a conditional instruction.</summary>
internal static unsafe class ConditionPicker
{
    /// <summary>What is to be chosen for a condition.</summary>
    internal enum Purpose
    {
        JumpForward,
        JumpBackward,
        JumpFar,
        Set,
        Move16,
        Move32,
        Move64,
        MoveMemory16,
        MoveMemory32,
        MoveMemory64,
    }

    public static Handler Pick(ConditionCode condition, Purpose purpose) => condition switch
    {
        ConditionCode.o => Pick<WhenOverflow>(purpose),
        ConditionCode.no => Pick<Unless<WhenOverflow>>(purpose),
        ConditionCode.b => Pick<WhenBelow>(purpose),
        ConditionCode.ae => Pick<Unless<WhenBelow>>(purpose),
        ConditionCode.e => Pick<WhenEqual>(purpose),
        ConditionCode.ne => Pick<Unless<WhenEqual>>(purpose),
        ConditionCode.be => Pick<WhenBelowOrEqual>(purpose),
        ConditionCode.a => Pick<Unless<WhenBelowOrEqual>>(purpose),
        ConditionCode.s => Pick<WhenSign>(purpose),
        ConditionCode.ns => Pick<Unless<WhenSign>>(purpose),
        ConditionCode.p => Pick<WhenParity>(purpose),
        ConditionCode.np => Pick<Unless<WhenParity>>(purpose),
        ConditionCode.l => Pick<WhenLess>(purpose),
        ConditionCode.ge => Pick<Unless<WhenLess>>(purpose),
        ConditionCode.le => Pick<WhenLessOrEqual>(purpose),
        ConditionCode.g => Pick<Unless<WhenLessOrEqual>>(purpose),
        _ => throw new InvalidOperationException($"no condition {condition}"),
    };

    private static Handler Pick<TCondition>(Purpose purpose)
        where TCondition : struct, ICondition => purpose switch
        {
            Purpose.JumpForward => &BranchHandlers.JumpIf<TCondition>,
            Purpose.JumpBackward => &BranchHandlers.JumpBackIf<TCondition>,
            Purpose.JumpFar => &BranchHandlers.JumpFarIf<TCondition>,
            Purpose.Set => &MoveHandlers.SetIf<TCondition>,
            Purpose.Move16 => &MoveHandlers.MoveIfRegister<TCondition, Size16>,
            Purpose.Move32 => &MoveHandlers.MoveIfRegister<TCondition, Size32>,
            Purpose.Move64 => &MoveHandlers.MoveIfRegister<TCondition, Size64>,
            Purpose.MoveMemory16 => &MoveHandlers.MoveIfMemory<TCondition, Size16>,
            Purpose.MoveMemory32 => &MoveHandlers.MoveIfMemory<TCondition, Size32>,
            _ => &MoveHandlers.MoveIfMemory<TCondition, Size64>,
        };
}
