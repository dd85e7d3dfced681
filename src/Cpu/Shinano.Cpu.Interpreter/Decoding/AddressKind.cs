namespace Shinano.Cpu.Interpreter;

/// <summary>Which <see cref="IAddressForm"/> a memory operand needs.</summary>
internal enum AddressKind
{
    None,
    Base,
    Index,
    Full,
}
