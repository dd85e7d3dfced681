using Shinano.Hypervisor;

namespace Shinano.Machine;

/// <summary>Exit codes of this program.</summary>
internal static class ExitCodes
{
    /// <summary>Destroyed as asked, or the guest of <c>run</c> powered off.</summary>
    public const int Success = 0;

    /// <summary>Something of ours or of the host failed; one line on standard error says what.</summary>
    public const int Failure = 1;

    /// <summary>The command line makes no sense.</summary>
    public const int Usage = 2;

    /// <summary>How the guest of <c>run</c> ended: 0 power-off, 10 reboot, 11 suspend, 12 crash, 13 watchdog.</summary>
    public static int Of(ShutdownReason reason) => reason == ShutdownReason.PowerOff ? Success : 9 + (int)reason;
}
