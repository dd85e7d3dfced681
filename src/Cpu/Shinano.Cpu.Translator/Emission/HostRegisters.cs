using Iced.Intel;

namespace Shinano.Cpu.Translator;

/// <summary>
/// Where guest registers live while translated code runs. Host RCX and R15 are scratch and host RSP is a host stack, so guest RCX, RSP and R15 have
/// other homes, and guest R9 to R11, the least used ones, stay in the state.
/// </summary>
internal static class HostRegisters
{
    public const int Rax = 0;
    public const int Rcx = 1;
    public const int Rdx = 2;
    public const int Rsp = 4;
    public const int R15 = 15;

    /// <summary>Home of guest RCX.</summary>
    public const int GuestRcx = 9;

    /// <summary>Home of guest RSP.</summary>
    public const int GuestRsp = 10;

    /// <summary>No home: in the state.</summary>
    public const int None = -1;

    private static readonly sbyte[] Homes = [0, 9, 2, 3, 10, 5, 6, 7, 8, None, None, None, 12, 13, 14, 11];

    /// <summary>Host register of a guest register, or <see cref="None"/>.</summary>
    public static int HomeOf(int guest) => Homes[guest];

    /// <summary>Number, 0 to 15, of the guest register that a general register of any size is part of.</summary>
    public static int NumberOf(Register register) => register.GetFullRegister() - Register.RAX;

    /// <summary>The part of a host register that is as wide as a guest's; not for AH to BH.</summary>
    public static Register Sized(int host, int bytes) => bytes switch
    {
        1 => host < 4 ? Register.AL + host : host < 8 ? Register.SPL + (host - 4) : Register.R8L + (host - 8),
        2 => Register.AX + host,
        4 => Register.EAX + host,
        _ => Register.RAX + host,
    };

    public static bool IsHighByte(Register register) => register is Register.AH or Register.CH or Register.DH or Register.BH;
}
