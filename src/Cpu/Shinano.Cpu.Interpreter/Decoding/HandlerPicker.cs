using unsafe Handler = delegate*<Shinano.Cpu.Interpreter.Core*, Shinano.Cpu.Interpreter.Op*, Shinano.Cpu.Interpreter.Op*>;

namespace Shinano.Cpu.Interpreter;

/// <summary>Chooses among the instances of a generic handler.</summary>
internal static unsafe class HandlerPicker
{
    public static Handler BySize(int size, Handler h8, Handler h16, Handler h32, Handler h64) => size switch
    {
        1 => h8,
        2 => h16,
        4 => h32,
        8 => h64,
        _ => throw new InvalidOperationException($"no handler for operands of {size} bytes"),
    };

    public static Handler BySize(int size, Handler h16, Handler h32, Handler h64) => BySize(size, null, h16, h32, h64);

    /// <summary>The forms of an arithmetic operation.</summary>
    /// <param name="form">0: r,r; 1: r,imm; 2: r,m; 3: m,r; 4: m,imm.</param>
    public static Handler Alu<TOperation>(int form, int size, AddressKind address, bool locked)
        where TOperation : struct, IAluOperation => size switch
        {
            1 => Alu<TOperation, Size8>(form, address, locked),
            2 => Alu<TOperation, Size16>(form, address, locked),
            4 => Alu<TOperation, Size32>(form, address, locked),
            _ => Alu<TOperation, Size64>(form, address, locked),
        };

    public static Handler Shift<TShift>(bool registerImmediate, int size)
        where TShift : struct, IShift =>
        registerImmediate
            ? BySize(
                size,
                &ShiftHandlers.RegisterImmediate<TShift, Size8>,
                &ShiftHandlers.RegisterImmediate<TShift, Size16>,
                &ShiftHandlers.RegisterImmediate<TShift, Size32>,
                &ShiftHandlers.RegisterImmediate<TShift, Size64>)
            : BySize(
                size,
                &ShiftHandlers.Any<TShift, Size8>,
                &ShiftHandlers.Any<TShift, Size16>,
                &ShiftHandlers.Any<TShift, Size32>,
                &ShiftHandlers.Any<TShift, Size64>);

    /// <summary>MOV between registers, memory and immediates; forms as for <see cref="Alu{TOperation}"/>.</summary>
    public static Handler Move(int form, int size, AddressKind address) => size switch
    {
        1 => Move<Size8>(form, address),
        2 => Move<Size16>(form, address),
        4 => Move<Size32>(form, address),
        _ => Move<Size64>(form, address),
    };

    public static Handler ZeroExtend<TTo>(int from, AddressKind address)
        where TTo : struct, IOperandSize => from == 1 ? ZeroExtend<TTo, Size8>(address) : ZeroExtend<TTo, Size16>(address);

    public static Handler SignExtend<TTo>(int from, AddressKind address)
        where TTo : struct, IOperandSize => from switch
        {
            1 => SignExtend<TTo, Size8>(address),
            2 => SignExtend<TTo, Size16>(address),
            _ => SignExtend<TTo, Size32>(address),
        };

    public static Handler LoadAddress<TSize>(AddressKind address)
        where TSize : struct, IOperandSize => address switch
        {
            AddressKind.Base => &MoveHandlers.LoadAddress<TSize, BaseForm>,
            AddressKind.Index => &MoveHandlers.LoadAddress<TSize, IndexForm>,
            _ => &MoveHandlers.LoadAddress<TSize, FullForm>,
        };

    private static Handler Alu<TOperation, TSize>(int form, AddressKind address, bool locked)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
    {
        if (locked)
        {
            return form == 3 ? &AluHandlers.LockedRegister<TOperation, TSize> : &AluHandlers.LockedImmediate<TOperation, TSize>;
        }

        return form switch
        {
            0 => &AluHandlers.RegisterRegister<TOperation, TSize>,
            1 => &AluHandlers.RegisterImmediate<TOperation, TSize>,
            _ => address switch
            {
                AddressKind.Base => AluMemory<TOperation, TSize, BaseForm>(form),
                AddressKind.Index => AluMemory<TOperation, TSize, IndexForm>(form),
                _ => AluMemory<TOperation, TSize, FullForm>(form),
            },
        };
    }

    private static Handler AluMemory<TOperation, TSize, TForm>(int form)
        where TOperation : struct, IAluOperation
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm => form switch
        {
            2 => &AluHandlers.RegisterMemory<TOperation, TSize, TForm>,
            3 => &AluHandlers.MemoryRegister<TOperation, TSize, TForm>,
            _ => &AluHandlers.MemoryImmediate<TOperation, TSize, TForm>,
        };

    private static Handler Move<TSize>(int form, AddressKind address)
        where TSize : struct, IOperandSize => form switch
        {
            0 => &MoveHandlers.RegisterRegister<TSize>,
            1 => &MoveHandlers.RegisterImmediate<TSize>,
            _ => address switch
            {
                AddressKind.Base => MoveMemory<TSize, BaseForm>(form),
                AddressKind.Index => MoveMemory<TSize, IndexForm>(form),
                _ => MoveMemory<TSize, FullForm>(form),
            },
        };

    private static Handler MoveMemory<TSize, TForm>(int form)
        where TSize : struct, IOperandSize
        where TForm : struct, IAddressForm => form switch
        {
            2 => &MoveHandlers.Load<TSize, TForm>,
            3 => &MoveHandlers.Store<TSize, TForm>,
            _ => &MoveHandlers.StoreImmediate<TSize, TForm>,
        };

    private static Handler ZeroExtend<TTo, TFrom>(AddressKind address)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize => address switch
        {
            AddressKind.None => &MoveHandlers.ZeroExtendRegister<TTo, TFrom>,
            AddressKind.Base => &MoveHandlers.ZeroExtendMemory<TTo, TFrom, BaseForm>,
            AddressKind.Index => &MoveHandlers.ZeroExtendMemory<TTo, TFrom, IndexForm>,
            _ => &MoveHandlers.ZeroExtendMemory<TTo, TFrom, FullForm>,
        };

    private static Handler SignExtend<TTo, TFrom>(AddressKind address)
        where TTo : struct, IOperandSize
        where TFrom : struct, IOperandSize => address switch
        {
            AddressKind.None => &MoveHandlers.SignExtendRegister<TTo, TFrom>,
            AddressKind.Base => &MoveHandlers.SignExtendMemory<TTo, TFrom, BaseForm>,
            AddressKind.Index => &MoveHandlers.SignExtendMemory<TTo, TFrom, IndexForm>,
            _ => &MoveHandlers.SignExtendMemory<TTo, TFrom, FullForm>,
        };
}
