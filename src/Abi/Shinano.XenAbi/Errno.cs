namespace Shinano.XenAbi;

/// <summary>Error numbers that hypercalls return, negated. Source: public/errno.h.</summary>
public static class Errno
{
    public const int Perm = 1;
    public const int NoEntry = 2;
    public const int NoSuchProcess = 3;
    public const int Interrupted = 4;
    public const int InputOutput = 5;
    public const int NoDeviceOrAddress = 6;
    public const int TooBig = 7;
    public const int Again = 11;
    public const int NoMemory = 12;
    public const int Access = 13;
    public const int Fault = 14;
    public const int Busy = 16;
    public const int Exists = 17;
    public const int NoDevice = 19;
    public const int Invalid = 22;
    public const int NoSpace = 28;
    public const int Range = 34;
    public const int NoSystemCall = 38;
    public const int Time = 62;
    public const int NotSupported = 95;
    public const int Already = 114;
}
