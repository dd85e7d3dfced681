namespace Shinano.Cpu.Interpreter;

/// <summary>An integer operand size as a type, so that handlers are compiled once per size. Values travel zero-extended in 64 bits.</summary>
internal unsafe interface IOperandSize
{
    static abstract int Bytes { get; }

    static abstract ulong Load(byte* address);

    /// <summary>Stores to memory; higher bits are dropped.</summary>
    static abstract void Store(byte* address, ulong value);

    /// <summary>Writes a register at its byte offset; 32-bit writes clear the upper half (SDM 1 §3.4.1.1).</summary>
    static abstract void Write(byte* register, ulong value);

    /// <summary>Bits above the size become copies of the sign.</summary>
    static abstract ulong SignExtend(ulong value);

    /// <summary>Bits above the size become zero.</summary>
    static abstract ulong Truncate(ulong value);

    /// <summary>LOCK CMPXCHG; returns what was there.</summary>
    static abstract ulong CompareExchange(byte* address, ulong value, ulong expected);

    static abstract ulong Exchange(byte* address, ulong value);
}

internal unsafe struct Size8 : IOperandSize
{
    public static int Bytes => 1;

    public static ulong Load(byte* address) => *address;

    public static void Store(byte* address, ulong value) => *address = (byte)value;

    public static void Write(byte* register, ulong value) => *register = (byte)value;

    public static ulong SignExtend(ulong value) => (ulong)(sbyte)value;

    public static ulong Truncate(ulong value) => (byte)value;

    public static ulong CompareExchange(byte* address, ulong value, ulong expected) =>
        Interlocked.CompareExchange(ref *address, (byte)value, (byte)expected);

    public static ulong Exchange(byte* address, ulong value) => Interlocked.Exchange(ref *address, (byte)value);
}

internal unsafe struct Size16 : IOperandSize
{
    public static int Bytes => 2;

    public static ulong Load(byte* address) => *(ushort*)address;

    public static void Store(byte* address, ulong value) => *(ushort*)address = (ushort)value;

    public static void Write(byte* register, ulong value) => *(ushort*)register = (ushort)value;

    public static ulong SignExtend(ulong value) => (ulong)(short)value;

    public static ulong Truncate(ulong value) => (ushort)value;

    public static ulong CompareExchange(byte* address, ulong value, ulong expected) =>
        Interlocked.CompareExchange(ref *(ushort*)address, (ushort)value, (ushort)expected);

    public static ulong Exchange(byte* address, ulong value) => Interlocked.Exchange(ref *(ushort*)address, (ushort)value);
}

internal unsafe struct Size32 : IOperandSize
{
    public static int Bytes => 4;

    public static ulong Load(byte* address) => *(uint*)address;

    public static void Store(byte* address, ulong value) => *(uint*)address = (uint)value;

    public static void Write(byte* register, ulong value) => *(ulong*)register = (uint)value;

    public static ulong SignExtend(ulong value) => (ulong)(int)value;

    public static ulong Truncate(ulong value) => (uint)value;

    public static ulong CompareExchange(byte* address, ulong value, ulong expected) =>
        Interlocked.CompareExchange(ref *(uint*)address, (uint)value, (uint)expected);

    public static ulong Exchange(byte* address, ulong value) => Interlocked.Exchange(ref *(uint*)address, (uint)value);
}

internal unsafe struct Size64 : IOperandSize
{
    public static int Bytes => 8;

    public static ulong Load(byte* address) => *(ulong*)address;

    public static void Store(byte* address, ulong value) => *(ulong*)address = value;

    public static void Write(byte* register, ulong value) => *(ulong*)register = value;

    public static ulong SignExtend(ulong value) => value;

    public static ulong Truncate(ulong value) => value;

    public static ulong CompareExchange(byte* address, ulong value, ulong expected) =>
        Interlocked.CompareExchange(ref *(ulong*)address, value, expected);

    public static ulong Exchange(byte* address, ulong value) => Interlocked.Exchange(ref *(ulong*)address, value);
}
